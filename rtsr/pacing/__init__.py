"""Time: deadlines, budgets, costs, and what each tile of a frame is given of them."""
