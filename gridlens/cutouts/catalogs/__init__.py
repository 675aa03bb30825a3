"""Catalogues of clusters: reading them, naming their columns, joining them to cutouts by id or position."""

from gridlens.cutouts.catalogs._catalog import read_catalog
from gridlens.cutouts.catalogs._join import JoinGaps, JoinReport, duplicate_rows

__all__ = ["JoinGaps", "JoinReport", "duplicate_rows", "read_catalog"]
