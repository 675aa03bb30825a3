"""Numbers that several rooms need; compiled kernels may take them from here (see `gridlens._jit`)."""

import math

__all__ = ["FWHM_PER_SIGMA", "IQR_PER_SIGMA", "MAD_TO_SIGMA", "Z_95"]

MAD_TO_SIGMA = 1.4826
"""standard deviation of a normal population over its median absolute deviation"""
IQR_PER_SIGMA = 1.349
"""interquartile range of a normal population over its standard deviation"""
FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
"""full width at half maximum of a Gaussian over its standard deviation"""
Z_95 = 1.959963984540054
"""normal quantile of the ends of a 95 % interval"""
