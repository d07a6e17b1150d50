"""Tiny nets and data that several tests share."""
