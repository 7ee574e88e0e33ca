import pymc as pm

with pm.Model(coords={"school": school}) as model:
    mu = pm.Normal("mu", 0, 5)
    tau = pm.HalfCauchy("tau", 5)
    theta_raw = pm.Normal("theta_raw", 0, 1, dims="school")
    theta = pm.Deterministic("theta", mu + tau * theta_raw, dims="school")
    pm.Normal("y", theta, sigma, observed=y, dims="school")
    fit = pm.sample()
