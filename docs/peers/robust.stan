data {
  int<lower=1> N;
  array[N] real x;
  vector[N] y;
}
parameters {
  real<lower=0> lengthscale;
  real<lower=0> scale;
  real<lower=0> noise;
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
  noise ~ normal(0, 1);
  z ~ std_normal();
  y ~ student_t(4, f, noise);
}
