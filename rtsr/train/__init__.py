"""From images to trained weights: recipe, crops, degradation, loop."""
