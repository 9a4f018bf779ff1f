"""For authors of plug-ins and tests: a conformance kit for detectors, tiny models of every architecture, planted truth."""
