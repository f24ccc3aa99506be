# The gateway's image: the runtime lock, the package without its demo, the shipped configuration. No compiler, no pip.
FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements/runtime.lock requirements/build.lock requirements/
RUN python -m venv /opt/gateway \
 && /opt/gateway/bin/pip install --no-cache-dir --require-hashes -r requirements/runtime.lock \
 && python -m pip install --no-cache-dir --require-hashes -r requirements/build.lock
COPY pyproject.toml README.md ./
COPY gateway gateway
RUN rm -r gateway/demo \
 && python -m pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
 && /opt/gateway/bin/pip install --no-cache-dir --no-deps --no-compile dist/*.whl \
 && /opt/gateway/bin/python -m compileall -q /opt/gateway/lib \
 && /opt/gateway/bin/pip uninstall --yes pip

FROM python:3.13-slim
RUN python -m pip uninstall --yes --root-user-action=ignore pip
COPY --from=build /opt/gateway /opt/gateway
COPY config.yaml /etc/gateway/config.yaml
COPY policies /etc/gateway/policies
ENV PATH=/opt/gateway/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 GATEWAY_CONFIG=/etc/gateway/config.yaml
USER 65532:65532
EXPOSE 8080 9900
ENTRYPOINT ["gateway"]
CMD ["run"]
