# Stands for the official rabbitmq:4-management: its entrypoint, its folders, its log on standard output.
FROM thwart-debian:rabbitmq
RUN mkdir -p /etc/rabbitmq/conf.d \
    && printf 'loopback_users.guest = false\nlog.console = true\n' >/etc/rabbitmq/conf.d/10-defaults.conf \
    && echo '[rabbitmq_management,rabbitmq_prometheus].' >/etc/rabbitmq/enabled_plugins \
    && install -d -o rabbitmq -g rabbitmq -m 0777 /var/lib/rabbitmq /var/log/rabbitmq
COPY rabbitmq-entrypoint /usr/local/bin/docker-entrypoint.sh
# before /usr/sbin, where Debian has wrappers of its own
ENV PATH=/usr/lib/rabbitmq/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/var/lib/rabbitmq LANG=C.UTF-8
VOLUME /var/lib/rabbitmq
EXPOSE 5672 15672 15692
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["rabbitmq-server"]
