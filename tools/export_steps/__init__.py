"""The steps of tools/export_student.py."""
