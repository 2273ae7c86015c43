"""What every web page needs: server, websocket, access, style and drawing."""
