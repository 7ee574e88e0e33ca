import gpjax as gpx
import jax
import optax

jax.config.update("jax_enable_x64", True)

data = gpx.Dataset(X=x[:, None], y=y[:, None])
prior = gpx.gps.Prior(mean_function=gpx.mean_functions.Zero(), kernel=gpx.kernels.RBF())
likelihood = gpx.likelihoods.StudentT(degrees_of_freedom=4.0, scale=0.5)
q = gpx.variational_families.VariationalGaussian(
    model=prior * likelihood, inducing_inputs=x[::2, None]
)
q, history = gpx.fit(
    model=q,
    objective=lambda q, d: -gpx.objectives.elbo(q, d),
    train_data=data,
    optim=optax.adam(0.02),
    num_iters=1000,
    verbose=False,
)
