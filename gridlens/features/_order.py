"""Order statistics of float32 values without a sort: count what lies below a pivot, move the pivot, count again.

A float32 and its key, an int32, are in the same order, so that a pivot can be bisected to the last bit in at most 32
steps. A count over a contiguous array runs eight values at a time; six or seven counts settle a median exactly, which
is several times faster than the moves and the unforeseeable branches of a quickselect.
"""

import math

import numpy as np

from gridlens._jit import jit

__all__ = ["count_below", "extremes", "key_of", "median", "percentile", "select", "value_of"]

_LEAST, _MOST = np.int32(-(2**31)), np.int32(2**31 - 1)
_SIGN, _REST = np.int32(31), np.int32(2**31 - 1)
_HALF = np.float32(0.5)
# Interpolation finds the pivot soonest on smooth values; ties and outliers need a bisection every now and then.
_BISECT_EVERY = 4


@jit
def key_of(value):
    """Key of a float32 number that is not NaN; that of one that is not negative has its bits."""
    bits = np.float32(value).view(np.int32)
    return np.int32(bits ^ (np.int32(bits >> _SIGN) & _REST))


@jit
def value_of(key):
    """Number that has a key."""
    bits = np.int32(key)
    return np.int32(bits ^ (np.int32(bits >> _SIGN) & _REST)).view(np.float32)


@jit
def count_below(keys, pivot):
    """Number of keys under a pivot."""
    n = np.int32(0)
    for i in range(keys.shape[0]):
        n = np.int32(n + np.int32(keys[i] < pivot))
    return np.int64(n)


@jit
def extremes(keys):
    """Least and greatest key."""
    low, high = _MOST, _LEAST
    for i in range(keys.shape[0]):
        low, high = min(low, keys[i]), max(high, keys[i])
    return low, high


@jit
def neighbours(keys, pivot):
    """Greatest key under a pivot and least key not under it."""
    low, high = _LEAST, _MOST
    for i in range(keys.shape[0]):
        key = keys[i]
        low = max(low, key if key < pivot else _LEAST)
        high = min(high, key if key >= pivot else _MOST)
    return low, high


@jit
def select(keys, k, guess, step):
    """Numbers that a sort would put at the indices k - 1 and k (both the one at 0 for k = 0).

    `keys` is a contiguous, not empty array of keys, which stays as it is. `guess` is a number near the answer and
    `step` how near it may be: good ones save counts and change nothing else.
    """
    low, high = np.int64(_LEAST), np.int64(_MOST)
    n_low, n_high = 0, keys.shape[0]
    pivot = np.int64(key_of(guess))
    stride = np.float32(step)
    tries = 0
    while high - low > 1:
        count = count_below(keys, np.int32(pivot))
        if count == k:
            left, right = neighbours(keys, np.int32(pivot))
            return value_of(left if k > 0 else right), value_of(right)
        if count < k:
            low, n_low = pivot, count
        else:
            high, n_high = pivot, count
        tries += 1
        if tries % _BISECT_EVERY == 0:
            pivot = (low + high) // 2
            continue
        # From the guess in longer and longer strides until the answer is passed, then by interpolation.
        if high == _MOST:
            near = value_of(low) + stride
        elif low == _LEAST:
            near = value_of(high) - stride
        else:
            share = np.float32((k - n_low) / (n_high - n_low))
            near = value_of(low) + share * (value_of(high) - value_of(low))
        stride = stride + stride
        pivot = min(max(np.int64(key_of(near)), low + 1), high - 1)
    # Nothing but equal numbers is left between the two.
    return value_of(low), value_of(low)


@jit
def median(keys, guess, step):
    """Median of numbers given as keys, the mean of the middle two for an even count; see `select`."""
    n = keys.shape[0]
    lower, upper = select(keys, n // 2, guess, step)
    return upper if n % 2 == 1 else _HALF * (lower + upper)


@jit
def percentile(keys, fraction, guess, step):
    """Quantile of numbers given as keys, by linear interpolation between ranks; see `select`."""
    position = fraction * (keys.shape[0] - 1)
    k = math.floor(position)
    if k + 1 >= keys.shape[0]:
        return np.float64(value_of(extremes(keys)[1]))
    lower, upper = select(keys, k + 1, guess, step)
    return np.float64(lower) + (position - k) * (np.float64(upper) - np.float64(lower))
