"""Code that may crash its process, in a process of its own."""
import os


def in_child(function, *args):
    """Return the str that a function returns in a fork of this process."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            text = function(*args)
        except BaseException as error:
            text = f'{type(error).__name__}: {error}'
        os.write(writing, text.encode()[:10000])
        # Not sys.exit: the tests are not to go on here.
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        text = stream.read()
    _, status = os.waitpid(child, 0)
    assert not os.WIFSIGNALED(status), (
        f'the process died of signal {os.WTERMSIG(status)}')
    return text
