"""How the tasks of a kind are measured on a model: the working half of every `nharness.task.TaskRunner`."""
