data {
  int<lower=1> N;
  array[N] real x;
  array[N] int<lower=0> k;
}
parameters {
  real<lower=0> lengthscale;
  real<lower=0> scale;
  vector[N] z;
}
transformed parameters {
  vector[N] f;
  {
    matrix[N, N] K = gp_exp_quad_cov(x, scale, lengthscale);
    f = cholesky_decompose(add_diag(K, 1e-9)) * z;
  }
}
model {
  lengthscale ~ gamma(25, 4);
  scale ~ normal(0, 2);
  z ~ std_normal();
  k ~ poisson_log(f);
}
