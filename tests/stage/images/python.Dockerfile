# Stands for the official python:3.13-slim: its names, and that pip may install beside the distribution's own packages.
FROM thwart-debian:python
RUN rm /usr/lib/python3*/EXTERNALLY-MANAGED \
    && for name in python3 pip3; do ln -s /usr/bin/$name /usr/local/bin/$name; ln -s $name /usr/local/bin/${name%3}; done \
    && printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' >/etc/pip.conf \
    && echo force-unsafe-io >/etc/dpkg/dpkg.cfg.d/docker-apt-speedup
ENV LANG=C.UTF-8
CMD ["python3"]
