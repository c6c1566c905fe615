# Serves the yardstick by plain workerd. The upstream's address comes from the environment.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    (name = "internet", network = (allow = ["public", "private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);

const main :Workerd.Worker = (
  modules = [(name = "js.mjs", esModule = embed "js.mjs")],
  compatibilityDate = "2026-04-01",
  bindings = [
    (name = "UPSTREAM", fromEnvironment = "UPSTREAM"),
    (name = "UPSTREAM_KEY", fromEnvironment = "UPSTREAM_KEY"),
  ],
);
