import gpytorch
import torch


class Robust(gpytorch.models.ApproximateGP):
    def __init__(self, inducing):
        q = gpytorch.variational.CholeskyVariationalDistribution(len(inducing))
        super().__init__(gpytorch.variational.VariationalStrategy(self, inducing, q))
        self.mean = gpytorch.means.ZeroMean()
        self.kernel = gpytorch.kernels.ScaleKernel(gpytorch.kernels.RBFKernel())

    def forward(self, x):
        return gpytorch.distributions.MultivariateNormal(self.mean(x), self.kernel(x))


x, y = torch.as_tensor(x), torch.as_tensor(y)
model = Robust(x[::2, None]).double()
likelihood = gpytorch.likelihoods.StudentTLikelihood().double()
likelihood.deg_free = 4.0
likelihood.raw_deg_free.requires_grad_(False)
elbo = gpytorch.mlls.VariationalELBO(likelihood, model, num_data=len(y))
parameters = [*model.parameters(), likelihood.raw_noise]
optimizer = torch.optim.Adam(parameters, lr=0.05)
model.train()
for _ in range(500):
    optimizer.zero_grad()
    loss = -elbo(model(x[:, None]), y)
    loss.backward()
    optimizer.step()
