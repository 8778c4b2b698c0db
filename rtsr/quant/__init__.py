"""Networks in 8 bits: weights rounded by what their layers see, and what flows between layers in whole steps."""
