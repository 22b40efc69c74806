//! The native host of Windlass: watches, cache, workqueue, engines, and writes.
