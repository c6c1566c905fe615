# Serves the metered reference by plain workerd; its records go to a local SQLite object.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    (name = "internet", network = (allow = ["public", "private"])),
    (name = "objects", disk = (path = "objects", writable = true)),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);

const main :Workerd.Worker = (
  modules = [(name = "metered.mjs", esModule = embed "metered.mjs")],
  compatibilityDate = "2026-04-01",
  bindings = [
    (name = "UPSTREAM", fromEnvironment = "UPSTREAM"),
    (name = "UPSTREAM_KEY", fromEnvironment = "UPSTREAM_KEY"),
    (name = "SINK", durableObjectNamespace = "Sink"),
  ],
  durableObjectNamespaces = [(className = "Sink", uniqueKey = "bench-sink", enableSql = true)],
  durableObjectStorage = (localDisk = "objects"),
);
