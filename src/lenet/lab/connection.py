"""The lab's connections: closed when their other end dawdles."""

from __future__ import annotations

from uvicorn.protocols.http.h11_impl import H11Protocol

from lenet.lab.security import PATIENCE_S
from lenet.web.connection import patient

PatientProtocol = patient(H11Protocol, lambda: PATIENCE_S)
