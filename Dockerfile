# docker build -t mystnode .
# docker run --init -v mystnode:/data mystnode serve --help
#
# --init: node as process 1 would not reap what it starts, nor end on a signal that it does not handle.
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY . .
RUN npm run build

FROM node:24-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json ./
# the image has its own Node: the ones that npm brings for older systems are not needed
RUN npm ci --ignore-scripts --omit=dev && rm -rf node_modules/node-linux-* node_modules/.bin/node

FROM node:24-bookworm-slim
ENV NODE_ENV=production MYSTNODE_DATA_DIR=/data
WORKDIR /app
COPY --from=packages /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY bin bin
COPY package.json LICENSE ./
RUN install -d -o node -g node -m 700 /data && ln -s /app/bin/mystnode.js /usr/local/bin/mystnode
USER node
VOLUME /data
ENTRYPOINT ["mystnode"]
CMD ["--help"]
