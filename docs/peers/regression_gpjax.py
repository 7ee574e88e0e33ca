import gpjax as gpx
import jax

jax.config.update("jax_enable_x64", True)

data = gpx.Dataset(X=x[:, None], y=y[:, None])
prior = gpx.gps.Prior(mean_function=gpx.mean_functions.Zero(), kernel=gpx.kernels.RBF())
model = prior * gpx.likelihoods.Gaussian()
model, history = gpx.fit_scipy(
    model=model,
    objective=lambda m, d: -gpx.objectives.conjugate_mll(m, d),
    train_data=data,
    verbose=False,
)
foretold = model.likelihood((model | data).predict(x_new[:, None]))
