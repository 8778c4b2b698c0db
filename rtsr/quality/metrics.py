"""PSNR and SSIM as super-resolution papers report them: on luma, from 8-bit RGB, borders cropped."""

from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

LUMA = np.array([65.481, 128.553, 24.966]) / 255


def luma(rgb: NDArray) -> NDArray:
    """Y of BT.601, limited range (16..235, unrounded), from 8-bit RGB of shape (H, W, 3); float64."""
    # One memory layout: the product's last bit depends on it, and equal pictures must get equal luma.
    return 16.0 + np.ascontiguousarray(rgb, np.float64) @ LUMA


def border(scale: Fraction) -> int:
    """Pixels to leave out on each side: the scale, rounded up (2 for x1.5)."""
    return -(-scale.numerator // scale.denominator)


def psnr(a: NDArray, b: NDArray, peak: float = 255.0) -> float:
    """Peak signal-to-noise ratio in dB of two arrays of one shape; infinite where they are equal."""
    if a.shape != b.shape:
        raise ValueError(f"cannot compare shapes {a.shape} and {b.shape}")
    error = np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(peak**2 / error))


def ssim(a: NDArray, b: NDArray, peak: float = 255.0) -> float:
    """Structural similarity of two planes (H, W): 11x11 Gaussian, sigma 1.5, valid region only."""
    if a.shape != b.shape or a.ndim != 2 or min(a.shape) < 11:
        raise ValueError(f"SSIM compares planes of at least 11x11, got {a.shape} and {b.shape}")
    kernel = cv2.getGaussianKernel(11, 1.5)

    def blur(plane: NDArray) -> NDArray:
        return cv2.sepFilter2D(plane, -1, kernel, kernel)[5:-5, 5:-5]

    a, b = a.astype(np.float64), b.astype(np.float64)
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    mean_a, mean_b = blur(a), blur(b)
    var_a = blur(a * a) - mean_a**2
    var_b = blur(b * b) - mean_b**2
    cov = blur(a * b) - mean_a * mean_b
    ratio = ((2 * mean_a * mean_b + c1) * (2 * cov + c2)) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    return float(ratio.mean())


def compare(image: NDArray, truth: NDArray, crop: int) -> tuple[float, float]:
    """PSNR (dB) and SSIM on luma of two 8-bit RGB images (H, W, 3), `crop` pixels left out on each side."""
    inner = slice(crop, -crop or None)
    a, b = luma(image)[inner, inner], luma(truth)[inner, inner]
    return psnr(a, b), ssim(a, b)
