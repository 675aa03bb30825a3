"""Catalogues of clusters: reading them, naming their columns, joining them to cutouts by id or position."""

from gridlens.cutouts.catalogs._catalog import read_catalog

__all__ = ["read_catalog"]
