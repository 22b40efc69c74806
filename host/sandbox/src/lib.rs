//! A Kubernetes API server, scheduler and kubelets in memory, without I/O.
