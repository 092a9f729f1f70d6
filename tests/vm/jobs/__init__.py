"""Programs that run inside the guest; each leaves /out/report.json for the test to judge."""
