import pymc as pm

with pm.Model() as model:
    lengthscale = pm.Gamma("lengthscale", 25, 4)
    scale = pm.HalfNormal("scale", 2)
    gp = pm.gp.Latent(cov_func=scale**2 * pm.gp.cov.ExpQuad(1, ls=lengthscale))
    f = gp.prior("f", X=x[:, None])
    pm.Poisson("k", pm.math.exp(f), observed=k)
    fit = pm.sample()
