import pymc as pm

with pm.Model() as model:
    lengthscale = pm.Gamma("lengthscale", 25, 4)
    scale = pm.HalfNormal("scale", 2)
    noise = pm.HalfNormal("noise", 1)
    gp = pm.gp.Marginal(cov_func=scale**2 * pm.gp.cov.ExpQuad(1, ls=lengthscale))
    gp.marginal_likelihood("y", X=x[:, None], y=y, sigma=noise)
    fit = pm.sample()
    f_new = gp.conditional("f_new", x_new[:, None])
    foretold = pm.sample_posterior_predictive(fit, var_names=["f_new"])
