"""skdpipe"""
