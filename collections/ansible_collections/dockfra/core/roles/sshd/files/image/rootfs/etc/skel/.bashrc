# Your own settings. The platform's are in /etc/bash.bashrc and come with each update.
