"""Constants that are used in several rooms; compiled kernels may import them from here (see `gridlens._jit`)."""

import math

__all__ = ["FWHM_PER_SIGMA", "IQR_PER_SIGMA", "MAD_TO_SIGMA", "Z_95"]

MAD_TO_SIGMA = 1.4826
"""ratio of the standard deviation of a normal distribution to its median absolute deviation"""
IQR_PER_SIGMA = 1.349
"""ratio of the interquartile range of a normal distribution to its standard deviation"""
FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
"""ratio of the full width at half maximum of a Gaussian to its standard deviation"""
Z_95 = 1.959963984540054
"""normal quantile of the ends of a 95 % interval"""
