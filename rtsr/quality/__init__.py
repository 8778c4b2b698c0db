"""How good results are: data sets, metrics, what exits reach and cost, pictures side by side."""
