data {
  int<lower=1> N;
  array[N] real x;
  vector[N] y;
}
parameters {
  real<lower=0> lengthscale;
  real<lower=0> scale;
  real<lower=0> noise;
}
model {
  matrix[N, N] K = gp_exp_quad_cov(x, scale, lengthscale);
  K = add_diag(K, square(noise));
  lengthscale ~ gamma(25, 4);
  scale ~ normal(0, 2);
  noise ~ normal(0, 1);
  y ~ multi_normal_cholesky(rep_vector(0, N), cholesky_decompose(K));
}
