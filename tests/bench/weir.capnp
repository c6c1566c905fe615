# Serves the built Worker by plain workerd, as wrangler.toml describes it, with its objects on local disk.
# `WEIR_DEV` lets the bench choose the text of its key; the seal key guards nothing but the mock's key.
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
  modules = [
    (name = "entry.js", esModule = embed "../../worker/entry.js"),
    (name = "src/body.js", esModule = embed "../../worker/src/body.js"),
    (name = "src/call.js", esModule = embed "../../worker/src/call.js"),
    (name = "src/drive.js", esModule = embed "../../worker/src/drive.js"),
    (name = "src/local.js", esModule = embed "../../worker/src/local.js"),
    (name = "src/memory.js", esModule = embed "../../worker/src/memory.js"),
    (name = "src/objects.js", esModule = embed "../../worker/src/objects.js"),
    (name = "src/relay.js", esModule = embed "../../worker/src/relay.js"),
    (name = "src/upload.js", esModule = embed "../../worker/src/upload.js"),
    (name = "build/index.js", esModule = embed "../../worker/build/index.js"),
    (name = "build/index_bg.wasm", wasm = embed "../../worker/build/index_bg.wasm"),
  ],
  compatibilityDate = "2026-04-01",
  bindings = [
    (name = "WEIR_DEV", text = "true"),
    (name = "WEIR_ADMIN_TOKEN", text = "weir-dev-admin-token"),
    (name = "WEIR_SEAL_KEY", text = "the bench seals with this text"),
    (name = "WEIR_ALLOW_PRIVATE_UPSTREAMS", text = "true"),
    (name = "REGISTRY", durableObjectNamespace = "Registry"),
    (name = "LIMITER", durableObjectNamespace = "Limiter"),
    (name = "LEDGER", durableObjectNamespace = "Ledger"),
  ],
  durableObjectNamespaces = [
    (className = "Registry", uniqueKey = "bench-registry", enableSql = true),
    (className = "Limiter", uniqueKey = "bench-limiter", enableSql = true),
    (className = "Ledger", uniqueKey = "bench-ledger", enableSql = true),
  ],
  durableObjectStorage = (localDisk = "objects"),
);
