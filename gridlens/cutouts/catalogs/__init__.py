"""Cluster catalogues: reading, column names, and joins to cutouts by id or position."""

from gridlens.cutouts.catalogs._catalog import read_catalog

__all__ = ["read_catalog"]
