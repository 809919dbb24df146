# Stands for the official prom/prometheus: its paths, its user, its folder, its arguments.
FROM python:3.13-slim
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends prometheus >/dev/null \
    && apt-get clean && rm -rf /var/lib/apt/lists/* \
    && ln -s /usr/bin/prometheus /usr/bin/promtool /usr/local/bin/ \
    && install -d -o nobody -g nogroup /prometheus
USER nobody
WORKDIR /prometheus
VOLUME /prometheus
EXPOSE 9090
ENTRYPOINT ["/bin/prometheus"]
CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
