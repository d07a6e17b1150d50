"""Packaging of mmdeepkd; the environment of ``make`` is tools/setup_env.sh."""
import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
VERSION = re.search(r"^__version__ = '(.+)'$",
                    (ROOT / 'mmdeepkd' / '__init__.py').read_text(),
                    re.MULTILINE).group(1)

setup(
    name='mmdeepkd',
    version=VERSION,
    description='DeepKD for MMEngine: knowledge distillation in gradient '
    'streams, each with its own momentum',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    keywords='knowledge distillation, object detection, openmmlab, pytorch',
    packages=find_packages(include=['mmdeepkd', 'mmdeepkd.*']),
    # .mim holds links to ../../configs and the model index; a wheel the files.
    package_data={
        'mmdeepkd': [
            '.mim/model-index.yml', '.mim/configs/**/*.py',
            '.mim/configs/**/*.yml'
        ]
    },
    python_requires='>=3.8',
    install_requires=['torch>=2.1', 'mmengine>=0.10,<1', 'numpy>=1.22'],
    extras_require={
        'det': ['mmdet>=3.3,<4', 'mmcv>=2.0,<2.2', 'pycocotools>=2.0'],
        'cls': ['mmpretrain>=1.0,<2', 'mmcv>=2.0,<2.2'],
        'digits': ['scikit-learn>=1.0'],
    },
    zip_safe=False,
    classifiers=[
        'Development Status :: 3 - Alpha',
        'Intended Audience :: Science/Research',
        'Operating System :: POSIX :: Linux',
        'Programming Language :: Python :: 3',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ])
