module github.com/windlass-dev/windlass/tests/cron-oracle

go 1.26.0

// The version that the module of Kubernetes 1.37.1 names.
require github.com/robfig/cron/v3 v3.0.1
