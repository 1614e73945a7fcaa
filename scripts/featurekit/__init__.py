"""The parts of scripts/features: page ──► probes (shell, listings, pages, access, tls, http, care) ──► stage ──► servers
(install, folder), wire."""

from lib import PROJECT

TARGET = PROJECT / "target" / "features"
