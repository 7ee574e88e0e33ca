import pymc as pm

with pm.Model() as model:
    lengthscale = pm.Gamma("lengthscale", 25, 4)
    scale = pm.HalfNormal("scale", 2)
    noise = pm.HalfNormal("noise", 1)
    gp = pm.gp.Latent(cov_func=scale**2 * pm.gp.cov.ExpQuad(1, ls=lengthscale))
    f = gp.prior("f", X=x[:, None])
    pm.StudentT("y", nu=4, mu=f, sigma=noise, observed=y)
    fit = pm.sample()
