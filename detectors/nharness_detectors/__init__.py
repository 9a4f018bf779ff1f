"""The detectors and interventions that come with nharness: one file per method, a plug-in like anyone's."""
