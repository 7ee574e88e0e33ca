import gpytorch
import torch


class Counts(gpytorch.models.ApproximateGP):
    def __init__(self, inducing):
        q = gpytorch.variational.CholeskyVariationalDistribution(len(inducing))
        super().__init__(gpytorch.variational.VariationalStrategy(self, inducing, q))
        self.mean = gpytorch.means.ZeroMean()
        self.kernel = gpytorch.kernels.ScaleKernel(gpytorch.kernels.RBFKernel())

    def forward(self, x):
        return gpytorch.distributions.MultivariateNormal(self.mean(x), self.kernel(x))


class Poisson(gpytorch.likelihoods._OneDimensionalLikelihood):
    def forward(self, f, **kwargs):
        return torch.distributions.Poisson(f.exp())


x, k = torch.as_tensor(x), torch.as_tensor(k)
model, likelihood = Counts(x[::2, None]).double(), Poisson()
elbo = gpytorch.mlls.VariationalELBO(likelihood, model, num_data=len(k))
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
model.train()
for _ in range(500):
    optimizer.zero_grad()
    loss = -elbo(model(x[:, None]), k)
    loss.backward()
    optimizer.step()
