# One image with every program of raeh: the services share nearly all their libraries, so one
# build, one tag and one set of layers serve them all, and a container's command says which
# service it is.
#
#   docker build -t raeh .
#   docker build -t raeh --build-arg BASE=… .     another Debian 13 image, or a later one
ARG BASE=debian:trixie-slim

FROM ${BASE} AS build
WORKDIR /src
COPY deps ./
RUN ./deps build && rm -rf /var/lib/apt/lists/*
COPY . .
RUN make -j"$(nproc)" install DESTDIR=/out PREFIX=/usr/local
# The packages whose libraries the programs are linked with, asked of the packager's own tool.
RUN mkdir -p debian && touch debian/control && \
    dpkg-shlibdeps -O --ignore-missing-info /out/usr/local/bin/raeh* | \
    sed 's/^shlibs:Depends=//; s/([^)]*)//g; s/,/ /g' >/out/packages

FROM ${BASE}
COPY --from=build /out/packages /tmp/packages
RUN apt-get update -q && \
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        openssl $(cat /tmp/packages) && \
    rm -rf /var/lib/apt/lists/* /tmp/packages && \
    useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin raeh
COPY --from=build /out/usr/local/bin/ /usr/local/bin/
COPY deploy/certificates /usr/local/bin/raeh-certificates
USER 10001:10001
ENV RAEH_DATA=/data
CMD ["raeh", "--help"]
