"""The gradient noise scale: at which batch size the noise of a gradient is as large as the gradient itself.

Noise and squared gradient are estimated from the parts (leaves) of one step. Their ratio is biased unless each is
averaged over many steps first, which the report does.
"""

from __future__ import annotations

from collections.abc import Sequence


def noise_and_signal(leaf_norms: Sequence[tuple[int, float]]) -> dict[str, float]:
    """Return "noise", the trace of one example's gradient covariance, and "signal", the squared norm of the gradient.

    The gradient of b examples has the expected squared norm signal + noise / b. The leaves give the left side for their
    sizes, and the whole step gives it for all examples: two equations with two unknowns. Both estimates may be negative
    in one step; only their means over steps tell something.

    Args:
        leaf_norms: (examples, norm of its mean gradient) of each leaf, and last of the whole step.

    Returns:
        Empty if there are fewer than two leaves: one gradient alone does not tell noise from signal.

    References:
        McCandlish et al. 2018, "An Empirical Model of Large-Batch Training", appendix A.1, with leaves of any sizes.

    Example:
        >>> noise_and_signal([(2, 3.0), (2, 3.0), (4, 3.0)])  # leaves that agree have no noise
        {'noise': 0.0, 'signal': 9.0}
    """
    *leaves, whole = leaf_norms or [(0, 0.0)]
    if len(leaves) < 2:
        return {}
    small = sum(norm * norm for _, norm in leaves) / len(leaves)
    per_example = sum(1 / count for count, _ in leaves) / len(leaves)
    large, share = whole[1] * whole[1], 1 / whole[0]
    noise = (small - large) / (per_example - share)
    return {"noise": noise, "signal": large - noise * share}
