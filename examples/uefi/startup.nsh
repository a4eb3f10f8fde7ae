Image initrd=\initrd.gz console=ttyS0
