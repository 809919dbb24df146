"""Broker URLs and TLS files as pika takes them; what is wrong with them is a SettingsError."""

import ssl

import pika

from shared.errors import SettingsError
from shared.settings import BrokerSettings

HEARTBEAT = 10  # s, unless a URL says `?heartbeat=`


def parameters(settings: BrokerSettings) -> list[pika.URLParameters]:
    """pika's parameters for each broker address. Raises SettingsError for what is no AMQP URL."""
    return [_parameters(url, settings) for url in settings.urls]


def logins(settings: BrokerSettings) -> frozenset[str]:
    """The names that the broker knows this program by. Raises SettingsError for what is no AMQP URL."""
    return frozenset(one.credentials.username for one in parameters(settings))


def _parameters(url: str, settings: BrokerSettings) -> pika.URLParameters:
    try:
        if not url.startswith(("amqp://", "amqps://")):
            raise ValueError("another scheme")  # pika would try it
        one = pika.URLParameters(url)
    except (ValueError, TypeError, AttributeError) as error:
        raise SettingsError("broker.urls: not an AMQP URL; write amqp://user:password@host:5672/vhost") from error
    if url.startswith("amqps:"):
        one.ssl_options = pika.SSLOptions(_tls(settings), one.host)
    one.heartbeat = one.heartbeat or HEARTBEAT  # never none: a connection that hangs has to be noticed
    one.connection_attempts = 1  # tenacity does the retrying, over all addresses
    return one


def _tls(settings: BrokerSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
        if settings.certificate_file:
            context.load_cert_chain(settings.certificate_file, settings.key_file or None)
    except OSError as error:  # ssl.SSLError, for a file that holds something else, is one
        named = ", ".join(filter(None, (settings.ca_file, settings.certificate_file, settings.key_file)))
        raise SettingsError(f"broker: can't use {named}: {error.strerror or error}; PEM files are needed") from error
    return context
