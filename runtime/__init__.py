"""What an emitted program calls: engines, inference, data, the posterior. float64 throughout."""

import jax

jax.config.update("jax_enable_x64", True)
