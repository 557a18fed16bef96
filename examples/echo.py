#!/usr/bin/env python3
"""A bot that answers every text with "you said: " and the text. It ends when the client does.

    SIM_SERVER=sim://… examples/echo.py NAME PASSWORD-FILE
"""
import json
import subprocess
import sys

name, password_file = sys.argv[1:]
client = subprocess.Popen(["sim", "client", "--json", "--user", name, "--password-file", password_file],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
for line in client.stdout:
    print(line, end="", flush=True)
    said = json.loads(line)
    if said["type"] == "message":
        answer = {"cmd": "send", "to": said["from"], "text": "you said: " + said["text"]}
        print(json.dumps(answer), file=client.stdin, flush=True)
sys.exit(client.wait())
