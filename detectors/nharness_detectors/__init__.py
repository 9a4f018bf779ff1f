"""The detectors and interventions that come with nharness: one file a method, a plug-in like anyone's."""
