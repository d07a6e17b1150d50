"""The steps of tools/check_teacher.py."""
