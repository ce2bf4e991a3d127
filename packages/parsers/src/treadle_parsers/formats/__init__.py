"""The formats, one module for each family. Siblings never import siblings."""
